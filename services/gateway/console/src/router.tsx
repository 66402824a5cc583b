// The page's address: history routing within one document.
import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'

const here = () => location.pathname + location.search

export const address = signal(typeof location === 'undefined' ? '/' : here())

if (typeof window !== 'undefined') window.addEventListener('popstate', () => { address.value = here() })

// What is behind the gateway and is no page of the console's.
const BEHIND = /^\/(grafana|nodered)([/?]|$)/

// navigate goes to another of the console's pages, or leaves it for what is behind the gateway.
export function navigate (to: string, { replace = false } = {}): void {
  if (BEHIND.test(to)) return location.replace(to)
  if (replace) history.replaceState(null, '', to)
  else history.pushState(null, '', to)
  address.value = here()
  if (!replace) window.scrollTo(0, 0)
}

// setQuery changes the address's query in place; empty values are left out.
export function setQuery (values: Record<string, string>): void {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(values)) if (v) q.set(k, v)
  const text = q.toString()
  navigate(location.pathname + (text ? '?' + text : ''), { replace: true })
}

export const pathOf = (a: string): string => a.split('?')[0] ?? '/'
export const queryOf = (a: string): URLSearchParams => new URLSearchParams(a.split('?')[1] ?? '')

// sitePath is next if it is a path of this site, else "/": an address of another site that came in a link is not followed.
export function sitePath (next: string | null): string {
  if (!next || !next.startsWith('/') || /^\/[/\\]/.test(next) || /[\\\u0000-\u001f]/.test(next)) return '/'
  const url = new URL(next, 'https://same.invalid')
  if (url.origin !== 'https://same.invalid' || url.pathname === '/login' || url.pathname.startsWith('//')) return '/'
  return url.pathname + url.search
}

interface LinkProps {
  to: string
  class?: string
  title?: string
  'aria-current'?: 'page' | 'false'
  'aria-label'?: string
  'data-test'?: string
  children?: ComponentChildren
}

// Link is an anchor that stays in the document; with a modifier key it does what anchors do.
export function Link ({ to, children, ...rest }: LinkProps) {
  const click = (e: MouseEvent) => {
    if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    e.preventDefault()
    navigate(to)
  }
  return <a {...rest} href={to} onClick={click}>{children}</a>
}
