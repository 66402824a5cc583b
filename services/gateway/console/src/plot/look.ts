// Colours and labels of plots. A canvas knows no custom properties, so both themes are here; lines differ in dashes too.
import { si } from '../ui/format'

const lines = {
  light: ['#0a58a8', '#c2410c', '#0f766e', '#9333a8', '#8a6100', '#b3204d', '#3f6212', '#475569'],
  dark: ['#74b9ff', '#ff9f5a', '#4fd6c4', '#d7a0ff', '#ffd95e', '#ff8fb0', '#b5e06a', '#b9c6d6'],
}

const around = {
  light: { back: '#ffffff', text: '#16202c', axis: '#4f5d6d', grid: '#e4e9ef', stale: 'rgb(122 75 0 / 55%)', staleBack: 'rgb(253 240 210 / 70%)' },
  dark: { back: '#151d26', text: '#e6ecf3', axis: '#a3b1c1', grid: '#25303c', stale: 'rgb(243 191 87 / 60%)', staleBack: 'rgb(54 40 12 / 70%)' },
}

const dashes = [[], [8, 5], [2, 4], [12, 4, 2, 4], [5, 3]]

export const aroundOf = (dark: boolean) => around[dark ? 'dark' : 'light']
export const colour = (i: number, dark: boolean): string => lines[dark ? 'dark' : 'light'][i % 8]!
export const dash = (i: number): number[] => dashes[i % dashes.length]!

const two = (n: number) => String(n).padStart(2, '0')

// timeLabels are those of the time axis: 24 hours, and the date where it changes.
export function timeLabels (splits: number[], incr: number): string[] {
  let day = ''
  return splits.map(s => {
    const d = new Date(s * 1000)
    const date = `${two(d.getDate())}.${two(d.getMonth() + 1)}.`
    if (incr >= 86400) return date
    const time = `${two(d.getHours())}:${two(d.getMinutes())}${incr < 60 ? ':' + two(d.getSeconds()) : ''}`
    const label = date === day ? time : `${time}\n${date}`
    day = date
    return label
  })
}

// valueLabels are those of an axis of values, with one prefix for all where the unit takes one.
export function valueLabels (splits: Array<number | null>, unit: string): string[] {
  const most = Math.max(...splits.map(v => Math.abs(v ?? 0)))
  const least = Math.min(...splits.filter((v): v is number => v !== null && v !== 0).map(Math.abs))
  const prefixed = ['A', 'W', 'Hz'].includes(unit)
  if (!prefixed) return splits.map(v => v === null ? '' : String(Number(v.toPrecision(6))))
  // Over decades each label has its own prefix; over less all have that of the largest.
  if (most / least > 1e4) return splits.map(v => v === null ? '' : label(v, unit))
  const { unit: u } = si(most, unit)
  const scale = most === 0 ? 1 : { p: 1e-12, n: 1e-9, µ: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9 }[u.slice(0, -unit.length)] ?? 1
  return splits.map(v => v === null ? '' : `${Number((v / scale).toPrecision(5))} ${u}`)
}

function label (v: number, unit: string): string {
  const s = si(v, unit)
  return `${Number(s.text)} ${s.unit}`
}
