/** @type {import('next').NextConfig} */
export default {
  output: 'standalone', // .next/standalone/server.js, with the modules that it needs
  outputFileTracingRoot: import.meta.dirname, // else Next looks for a lock file in the directories above
};
