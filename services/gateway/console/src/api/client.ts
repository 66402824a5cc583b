// The API over fetch: JSON in, JSON or an ApiError out.
import type { Problem } from './types'

// ApiError is an answer that says no, or none at all (status 0).
export class ApiError extends Error {
  readonly status: number
  readonly problem: Problem
  readonly retryAfter: number // s, 0 when the server did not say

  constructor (problem: Problem, retryAfter = 0) {
    super(problem.detail || problem.title)
    this.status = problem.status
    this.problem = problem
    this.retryAfter = retryAfter
  }
}

export interface Answer<T> { status: number, body: T }

type Query = Record<string, string | number | boolean | undefined | ReadonlyArray<string | number>>

interface Options { query?: Query, body?: unknown, signal?: AbortSignal }

let onUnauthorized: () => void = () => {}

// whenUnauthorized is called when the session has ended; login itself does not count.
export function whenUnauthorized (f: () => void): void { onUnauthorized = f }

export function apiPath (path: string, query: Query = {}): string {
  const q = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === '') continue
    if (Array.isArray(value)) for (const v of value) q.append(key, String(v))
    else q.set(key, String(value))
  }
  const text = q.toString()
  return '/api/v1' + path + (text ? '?' + text : '')
}

export async function call<T> (method: string, path: string, { query, body, signal }: Options = {}): Promise<Answer<T>> {
  let response: Response
  try {
    response = await fetch(apiPath(path, query), {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: body === undefined ? { Accept: 'application/json' } : { Accept: 'application/json', 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    })
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e
    throw new ApiError({ type: 'about:blank', title: 'No answer', status: 0, detail: 'The gateway does not answer. Is it running, and is the network there?' })
  }
  const text = await response.text()
  const parsed = parse(text)
  if (response.ok) return { status: response.status, body: parsed as T }
  if (response.status === 401 && path !== '/login') onUnauthorized()
  throw new ApiError(problemOf(response, parsed), Number(response.headers.get('Retry-After')) || 0)
}

export async function get<T> (path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await call<T>('GET', path, { query, signal })).body
}

export async function post<T> (path: string, body?: unknown): Promise<Answer<T>> {
  return await call<T>('POST', path, { body })
}

function parse (text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function problemOf (response: Response, parsed: unknown): Problem {
  if (typeof parsed === 'object' && parsed !== null && 'title' in parsed) return { ...parsed as Problem, status: response.status }
  return { type: 'about:blank', title: response.statusText || 'Error', status: response.status, detail: `The gateway answered ${response.status}.` }
}

// says is an error in words, for people.
export function says (e: unknown): string {
  return e instanceof Error ? e.message : String(e)
}
