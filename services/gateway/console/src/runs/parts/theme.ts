// Colours of plots, from the custom properties of the style sheets; canvas does not know them by itself.
import { useEffect, useState } from 'preact/hooks'

export interface Theme { text: string, muted: string, grid: string, surface: string, accent: string, series: string[] }

function read (): Theme {
  const probe = document.querySelector('.runs') ?? document.body
  const style = getComputedStyle(probe)
  // A property may hold light-dark() and be resolved only where a colour stands, so that a canvas is asked what it makes of it.
  const paint = document.createElement('span')
  probe.append(paint)
  const colour = (name: string): string => {
    paint.style.color = style.getPropertyValue(name) || 'currentColor'
    return getComputedStyle(paint).color
  }
  const theme = {
    text: colour('--text'), muted: colour('--muted'), grid: colour('--line'), surface: colour('--surface'), accent: colour('--accent'),
    series: [1, 2, 3, 4, 5, 6].map(n => colour(`--runs-series-${n}`)),
  }
  paint.remove()
  return theme
}

// useTheme is drawn again when the system or the user changes from light to dark.
export function useTheme (): Theme {
  const [theme, set] = useState(read)
  useEffect(() => {
    const again = () => set(read())
    again()
    const system = matchMedia('(prefers-color-scheme: dark)')
    const root = new MutationObserver(again)
    system.addEventListener('change', again)
    root.observe(document.documentElement, { attributes: true })
    return () => {
      system.removeEventListener('change', again)
      root.disconnect()
    }
  }, [])
  return theme
}
