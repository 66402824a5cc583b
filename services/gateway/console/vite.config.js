import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
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
  server: { proxy: { '/api': { target: gateway, secure: false, changeOrigin: true }, '/healthz': { target: gateway, secure: false, changeOrigin: true } } },
})

// emptyAssets removes the assets of the build before, whose names have other hashes.
function emptyAssets () {
  let outDir
  return {
    name: 'empty-assets',
    apply: 'build',
    configResolved (config) { outDir = resolve(config.root, config.build.outDir) },
    async buildStart () {
      await rm(resolve(outDir, 'assets'), { recursive: true, force: true })
    },
  }
}
