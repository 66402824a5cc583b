import { defineConfig } from 'vite'

const gateway = process.env.GATEWAY || 'https://localhost:8443'

export default defineConfig({
  base: '/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: 'dist',
    // Go's embed wants the folder to be there, so its .gitignore stays.
    emptyOutDir: false,
    target: 'es2022',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  plugins: [emptyAssets()],
  server: { proxy: { '/api': { target: gateway, secure: false, changeOrigin: true } } },
})

// emptyAssets removes the assets of the build before, whose names have other hashes.
function emptyAssets () {
  return {
    name: 'empty-assets',
    apply: 'build',
    async buildStart () {
      const { rm } = await import('node:fs/promises')
      await rm(new URL('dist/assets', import.meta.url), { recursive: true, force: true })
    },
  }
}
