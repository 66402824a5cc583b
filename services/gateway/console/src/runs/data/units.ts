// Units of what stands in a CSV file, which a JSON file beside it may tell.
import { isObject } from './values'

// unitOf looks in all JSON results for an object of one of the names that has a unit.
export function unitOf (results: unknown, ...names: string[]): string {
  if (!isObject(results)) return ''
  for (const name of names) {
    for (const result of Object.values(results)) {
      const of = isObject(result) ? result[name] : undefined
      if (isObject(of) && typeof of.unit === 'string') return of.unit
    }
  }
  return ''
}
