// A text that a list is filtered by. What is being typed is kept here: a list that is drawn anew meanwhile does not take it away.
import { useState } from 'preact/hooks'

interface FilterFieldProps { id: string, label: string, text: string, type?: 'search' | 'text', list?: string, placeholder?: string, test: string, onText: (t: string) => void }

export function FilterField ({ id, label, text, type = 'text', list, placeholder, test, onText }: FilterFieldProps) {
  const [typed, setTyped] = useState(text)
  // Another filter is taken over as it is drawn: an effect would come later, and wipe out what was typed meanwhile.
  const [of, setOf] = useState(text)
  if (of !== text) {
    setOf(text)
    setTyped(text)
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} type={type} list={list} value={typed} placeholder={placeholder} autoComplete="off" autoCapitalize="none" data-test={test}
        onInput={e => setTyped(e.currentTarget.value)} onChange={e => onText(e.currentTarget.value.trim())} />
    </div>
  )
}
