process.env.UV_THREADPOOL_SIZE ??= '16';
require('../dist/bundle/dev-img.cjs').run(process.argv, []);
