// Light, dark, or as the system has it. The choice stays in this browser.
import { computed, effect, signal } from '@preact/signals'

export type Theme = 'auto' | 'light' | 'dark'

const KEY = 'dcs-theme'

function kept (): Theme {
  try {
    const t = localStorage.getItem(KEY)
    return t === 'light' || t === 'dark' ? t : 'auto'
  } catch {
    return 'auto' // storage may be forbidden
  }
}

const system = matchMedia('(prefers-color-scheme: dark)')
const systemDark = signal(system.matches)
system.addEventListener('change', e => { systemDark.value = e.matches })

export const theme = signal<Theme>(kept())
export const dark = computed(() => theme.value === 'dark' || (theme.value === 'auto' && systemDark.value))

effect(() => {
  const root = document.documentElement
  if (theme.value === 'auto') delete root.dataset.theme
  else root.dataset.theme = theme.value
  try {
    localStorage.setItem(KEY, theme.value)
  } catch { /* it counts for this page then */ }
})
