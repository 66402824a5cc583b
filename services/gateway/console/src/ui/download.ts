// A file made by the page, handed to the browser.
export function download (name: string, blob: Blob): void {
  const a = document.createElement('a')
  a.href = URL.createObjectURL(blob)
  a.download = name.replace(/[^\w.-]+/g, '_')
  a.click()
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000)
}
