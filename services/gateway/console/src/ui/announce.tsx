// What a screen reader is told while it reads something else.
import { signal } from '@preact/signals'

const said = signal('')

// announce says a sentence politely; the same sentence twice is said twice.
export function announce (text: string): void {
  said.value = text === said.value ? text + '\u00a0' : text
}

export function Announcer () {
  return <div class="hidden-visually" role="status" aria-live="polite" data-test="announce">{said.value}</div>
}
