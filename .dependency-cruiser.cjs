/**
 * The house of `docs/architecture.md` as rules: arrows point down only, `core` knows no format, a
 * driver knows only `core`, and neither knows Node.js.
 */
const CORE_LINES = [
  'errors',
  'bytes',
  'platform',
  'storage',
  'metadata',
  'driver',
  'engine',
  'chain',
  'operations',
];

const coreLayering = CORE_LINES.slice(0, -1).map((line, index) => ({
  name: `core-${line}-imports-no-higher-line`,
  severity: 'error',
  from: { path: `^packages/core/src/${line}/` },
  to: { path: `^packages/core/src/(${CORE_LINES.slice(index + 1).join('|')}|index)(/|\\.)` },
}));

module.exports = {
  forbidden: [
    ...coreLayering,
    {
      name: 'no-node-in-core-and-drivers',
      comment: 'What a platform gives comes in through injection tokens.',
      severity: 'error',
      from: {
        path: '^(packages|examples)/(core|filters|driver-[^/]+)/src/',
        pathNot: '^packages/driver-testkit/',
      },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'core-imports-no-package-of-ours',
      severity: 'error',
      from: { path: '^packages/core/src/' },
      to: { path: '^packages/(?!core/)' },
    },
    {
      name: 'drivers-import-core-only',
      severity: 'error',
      from: { path: '^packages/(driver-[^/]+|filters|platform-node)/src/' },
      to: { path: '^packages/(?!core/)', pathNot: '^packages/$1/' },
    },
    {
      name: 'example-drivers-import-public-things-only',
      comment: 'They show what a third party can do.',
      severity: 'error',
      from: { path: '^examples/(driver-[^/]+)/src/' },
      to: {
        path: '^(packages|examples|test|bench)/|^node_modules/(lamella|@lamella)/',
        pathNot: ['^packages/core/dist/index\\.', '^examples/$1/src/'],
      },
    },
    {
      name: 'only-the-facade-knows-every-driver',
      severity: 'error',
      from: { path: '^packages/(?!lamella/|cli/)' },
      to: { path: '^packages/lamella/' },
    },
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-undeclared',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
    { name: 'not-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: ['node_modules', 'dist'] },
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
    },
    moduleSystems: ['es6'],
  },
};
