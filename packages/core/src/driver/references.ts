/** A name of another file, as an image gives it. Not resolved, not opened, not trusted. */
export interface Reference {
  /** The text in the image: a path, possibly relative to the image, or a `json:` or `scheme:` name. */
  readonly location: string;
  /** Format of that file, where the image says. */
  readonly format?: string | undefined;
}

/** The other files that an image names. A driver reports them and opens none. */
export interface References {
  /** The backing file. */
  readonly backing?: Reference | undefined;
  /** A file that holds the guest's data, apart from the metadata. */
  readonly dataFile?: Reference | undefined;
}
