// Hooks: what is fetched, and how wide an element is.
import type { RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

export interface Fetched<T> { value?: T, error?: unknown, busy: boolean }

// useFetched fetches when something in `on` changes; what was there stays until the next is. What is asked for in vain leaves an error.
export function useFetched<T> (fetch: (signal: AbortSignal) => Promise<T>, on: readonly unknown[]): Fetched<T> {
  const [state, set] = useState<Fetched<T>>({ busy: true })
  useEffect(() => {
    const end = new AbortController()
    set(s => ({ ...s, busy: true }))
    fetch(end.signal).then(
      value => { if (!end.signal.aborted) set({ value, busy: false }) },
      (error: unknown) => { if (!end.signal.aborted) set(s => ({ ...s, error, busy: false })) },
    )
    return () => end.abort()
  }, on)
  return state
}

// useWidth is the width of an element in CSS pixels, 0 until it is known.
export function useWidth<E extends HTMLElement> (): [RefObject<E | null>, number] {
  const ref = useRef<E>(null)
  const [width, set] = useState(0)
  useEffect(() => {
    const e = ref.current
    if (!e) return
    const look = new ResizeObserver(() => set(Math.floor(e.clientWidth)))
    look.observe(e)
    return () => look.disconnect()
  }, [])
  return [ref, width]
}
