// Who uses the page.
import { signal } from '@preact/signals'
import { ApiError, get, post, whenUnauthorized } from './api/client'
import type { Me, Role } from './api/types'
import { address, navigate, pathOf } from './router'

// me is undefined until it is known, null when nobody has logged in.
export const me = signal<Me | null | undefined>(undefined)

const roles: readonly Role[] = ['viewer', 'operator', 'expert', 'admin']

export function may (needed: Role): boolean {
  const role = me.value?.role
  return role !== undefined && roles.indexOf(role) >= roles.indexOf(needed)
}

// toLogin goes to the login page, which comes back to where one was.
export function toLogin (): void {
  me.value = null
  if (pathOf(address.value) === '/login') return
  const next = address.value === '/' ? '' : '?next=' + encodeURIComponent(address.value)
  navigate('/login' + next, { replace: true })
}

// ask learns who uses the page. It reports whether there was an answer.
export async function ask (): Promise<boolean> {
  try {
    me.value = await get<Me>('/me')
    return true
  } catch (e) {
    return e instanceof ApiError && e.status === 401
  }
}

export async function logout (): Promise<void> {
  try {
    await post('/logout')
  } catch (e) {
    if (!(e instanceof ApiError) || e.status !== 401) throw e
  }
  toLogin()
}

whenUnauthorized(toLogin)
