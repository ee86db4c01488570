const { createStrapi } = require('@strapi/strapi');

// Strapi migrates the database when it starts. Once, before the workers start: they would all do it at the same time.
createStrapi({ appDir: __dirname, distDir: __dirname })
  .load()
  .then((app) => app.destroy());
