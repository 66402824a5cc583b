// A modal dialog. The browser keeps the focus in it and gives it back at the end.
import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef } from 'preact/hooks'

interface DialogProps { title: string, open: boolean, close: () => void, test?: string, children: ComponentChildren }

export function Dialog ({ title, open, close, test, children }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  // Before the next paint: the focus is back as soon as the dialog is gone.
  useLayoutEffect(() => {
    const d = ref.current
    if (!d) return
    if (open && !d.open) d.showModal()
    if (!open && d.open) d.close()
  }, [open])
  return (
    // Escape is a cancel first, and a close a frame later: by then it may be open again.
    <dialog ref={ref} aria-labelledby={id} data-test={test} onCancel={close} onClose={() => { if (open && !ref.current?.open) close() }}>
      {open && <><h2 id={id}>{title}</h2>{children}</>}
    </dialog>
  )
}
