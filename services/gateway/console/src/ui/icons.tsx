// Icons, drawn here: none is fetched, and each stands beside a word that says the same.
const paths = {
  ok: 'M3 8.5l3.2 3.2L13 4.8',
  warn: 'M8 2.2l6.3 11.3H1.7zM8 6.4v3.4M8 11.8v.2',
  bad: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM8 4.8v4M8 11v.2',
  stale: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM8 4.6V8l2.4 1.6',
  off: 'M8 1.8v6M4.6 3.9a5.4 5.4 0 1 0 6.8 0',
  on: 'M9 1.5L3.5 9H8l-1 5.5L12.5 7H8z',
  lock: 'M3.5 7.5h9v6.2h-9zM5.2 7.5V5a2.8 2.8 0 0 1 5.6 0v2.5',
  ramp: 'M1.8 12.5h3.4l5.6-8.4h3.4',
  wait: 'M8 2.2v2.6M8 11.2v2.6M2.2 8h2.6M11.2 8h2.6M3.9 3.9l1.8 1.8M10.3 10.3l1.8 1.8M12.1 3.9l-1.8 1.8M5.7 10.3l-1.8 1.8',
  limit: 'M2 4.5h12M8 13.5v-6M5.4 9.8L8 7.2l2.6 2.6',
  trip: 'M8.8 1.5L3.6 8h3.6M7.2 14.5L12.4 8H9.2M2 2l12 12',
  interlock: 'M2 8h3.6M10.4 8H14M5.6 8l4.6-4.2',
  live: 'M8 5.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4zM4 4a5.6 5.6 0 0 0 0 8M12 4a5.6 5.6 0 0 1 0 8',
  none: 'M3 8h10',
  out: 'M6.5 3.5h-3v9h9v-3M9 2.8h4.2V7M13 3L7.4 8.6',
  user: 'M8 8a2.8 2.8 0 1 0 0-5.6A2.8 2.8 0 0 0 8 8zM2.8 14a5.2 5.2 0 0 1 10.4 0',
  down: 'M3.5 6l4.5 4.5L12.5 6',
  next: 'M6 3.5l4.5 4.5L6 12.5',
  close: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  save: 'M8 2v7.5M4.8 6.6L8 9.8l3.2-3.2M2.5 12.8h11',
}

export type IconName = keyof typeof paths

export function Icon ({ name, size = 14 }: { name: IconName, size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={paths[name]} fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  )
}

// Mark is the stack's sign.
export function Mark ({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" fill="#1d3b61" />
      <path d="M4 22h6l4-12 5 15 3.5-9H28" fill="none" stroke="#4fd1c5" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  )
}
