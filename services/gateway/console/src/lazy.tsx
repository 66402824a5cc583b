// Pages that are fetched when they are first looked at.
import type { ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'

type Module<P> = { default: ComponentType<P> }

export function lazy<P extends object> (load: () => Promise<Module<P>>): ComponentType<P> {
  let loaded: ComponentType<P> | undefined
  return function Lazy (props: P) {
    const [, redraw] = useState(0)
    const [failed, setFailed] = useState(false)
    useEffect(() => {
      if (loaded) return
      load().then(m => { loaded = m.default; redraw(n => n + 1) }, () => setFailed(true))
    }, [])
    const Page = loaded
    if (Page) return <Page {...props} />
    if (failed) return <p role="alert">This page could not be loaded from the gateway. <button type="button" onClick={() => location.reload()}>Load again</button></p>
    return <p aria-busy="true">Loading…</p>
  }
}
