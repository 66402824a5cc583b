// Patterns of parameters are RE2's, docs/contract.md, section 5. This turns one into JavaScript's, or says that it cannot: then the driver
// alone checks. Nested repetition is left to the driver too, as only RE2 is sure to end in time.

const posix: Record<string, string> = {
  alnum: '0-9A-Za-z', alpha: 'A-Za-z', ascii: '\\x00-\\x7F', blank: '\\t ', cntrl: '\\x00-\\x1F\\x7F', digit: '0-9', graph: '!-~', lower: 'a-z',
  print: ' -~', punct: '!-\\/:-@\\[-`{-~', space: '\\t\\n\\v\\f\\r ', upper: 'A-Z', word: '0-9A-Za-z_', xdigit: '0-9A-Fa-f',
}
const syntax = '^$\\.*+?()[]{}|/'
const categories = /^(?:[LMNPSZC]|L[ulmto]|M[nce]|N[dlo]|P[cdseifo]|S[mcko]|Z[slp]|C[cfos])$/

class Unsupported extends Error {}

// toJS is the regular expression for the whole of a string, null if JavaScript has none.
export function toJS (pattern: string): RegExp | null {
  try {
    return new Translator(pattern).translate()
  } catch {
    return null // not translated, or not a pattern: the driver says so
  }
}

class Translator {
  #at = 0
  #flags = 'u'
  readonly #p: string

  constructor (pattern: string) {
    this.#p = pattern
  }

  translate (): RegExp {
    const flags = /^\(\?([is]+)\)/.exec(this.#p)
    if (flags?.[1]) {
      this.#at = flags[0].length
      for (const f of new Set(flags[1])) this.#flags += f
    }
    const out = this.#body(0).out
    if (this.#at < this.#p.length) throw new Unsupported('a bracket too many')
    return new RegExp(`^(?:${out})$`, this.#flags)
  }

  // #body reads up to the closing bracket or the end. Risky says that repeating it could take for ever.
  #body (depth: number): { out: string; risky: boolean } {
    let out = ''
    let risky = false
    while (this.#at < this.#p.length && this.#p[this.#at] !== ')') {
      let atomRisky = false
      const c = this.#p[this.#at]
      if (c === '(') {
        const group = this.#group(depth)
        out += group.out
        atomRisky = group.risky
      } else if (c === '[') {
        out += this.#class()
      } else if (c === '\\') {
        out += this.#escape(false)
      } else if (c === '|') {
        this.#at++
        out += '|'
        risky = true
        continue
      } else {
        out += this.#plain()
      }
      const repeat = this.#repeat()
      out += repeat.out
      if (repeat.unbounded && atomRisky) throw new Unsupported('nested repetition')
      risky ||= repeat.unbounded || atomRisky
    }
    return { out, risky }
  }

  #group (depth: number): { out: string; risky: boolean } {
    if (depth > 20) throw new Unsupported('depth')
    const open = /^\((?:\?:|\?P?<([A-Za-z_]\w*)>)?/.exec(this.#p.slice(this.#at))
    if (!open || (open[0] === '(' && this.#p[this.#at + 1] === '?')) throw new Unsupported('flags in a group')
    this.#at += open[0].length
    const body = this.#body(depth + 1)
    if (this.#p[this.#at] !== ')') throw new Unsupported('a bracket too few')
    this.#at++
    return { out: `(?:${body.out})`, risky: body.risky }
  }

  #repeat (): { out: string; unbounded: boolean } {
    const m = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/.exec(this.#p.slice(this.#at))
    if (!m) return { out: '', unbounded: false }
    this.#at += m[0].length
    if (/^(?:[*+?]|\{\d+(?:,\d*)?\})/.test(this.#p.slice(this.#at))) throw new Unsupported('a repeated repetition')
    return { out: m[0], unbounded: /^[*+]|,\}|^\{\d{3,}|,\d{3,}\}/.test(m[0]) }
  }

  #plain (): string {
    const c = String.fromCodePoint(this.#p.codePointAt(this.#at) ?? 0)
    this.#at += c.length
    if (c === '.') return this.#flags.includes('s') ? '.' : '[^\\n]'
    if (c === '^' || c === '$') return c
    if ('*+?'.includes(c)) throw new Unsupported('nothing to repeat')
    return syntax.includes(c) ? `\\${c}` : c
  }

  #escape (inClass: boolean): string {
    const rest = this.#p.slice(this.#at + 1)
    const take = (m: RegExpExecArray, out: string): string => {
      this.#at += 1 + m[0].length
      return out
    }
    let m = /^(?:Q)([\s\S]*?)(?:\\E|$)/.exec(rest)
    if (m && !inClass) return take(m, [...(m[1] ?? '')].map((c) => (syntax.includes(c) ? `\\${c}` : c)).join(''))
    m = /^([pP])(?:\{(\^?)(\w+)\}|([LMNPSZC]))/.exec(rest)
    if (m) {
      const name = m[3] ?? m[4] ?? ''
      const negated = (m[1] === 'P') !== (m[2] === '^')
      return take(m, `\\${negated ? 'P' : 'p'}{${categories.test(name) ? name : `Script=${name}`}}`)
    }
    m = /^x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))/.exec(rest)
    if (m) return take(m, `\\u{${m[1] ?? m[2]}}`)
    m = /^[dDwW]/.exec(rest)
    if (m) return take(m, `\\${m[0]}`)
    m = /^[fnrtv]/.exec(rest)
    if (m) return take(m, `\\${m[0]}`)
    m = /^[as]/.exec(rest)
    if (m) return take(m, m[0] === 'a' ? '\\x07' : inClass ? '\\t\\n\\f\\r ' : '[\\t\\n\\f\\r ]')
    m = /^[SbBAz]/.exec(rest)
    if (m && !inClass) return take(m, { S: '[^\\t\\n\\f\\r ]', b: '\\b', B: '\\B', A: '^', z: '$' }[m[0]] ?? '')
    m = /^[!-/:-@[-`{-~]/.exec(rest)
    if (m) return take(m, syntax.includes(m[0]) || (inClass && m[0] === '-') ? `\\${m[0]}` : m[0])
    throw new Unsupported(`\\${rest[0] ?? ''}`)
  }

  #class (): string {
    const open = /^\[\^?/.exec(this.#p.slice(this.#at))?.[0] ?? '['
    this.#at += open.length
    let out = open
    for (let first = true; ; first = false) {
      const c = this.#p[this.#at]
      if (c === undefined) throw new Unsupported('a class is open')
      if (c === ']' && !first) {
        this.#at++
        return `${out}]`
      }
      const named = /^\[:(\^?)(\w+):\]/.exec(this.#p.slice(this.#at))
      if (named) {
        const set = posix[named[2] ?? '']
        if (!set || named[1]) throw new Unsupported(named[0])
        this.#at += named[0].length
        out += set
      } else if (c === '\\') {
        out += this.#escape(true)
      } else {
        const whole = String.fromCodePoint(this.#p.codePointAt(this.#at) ?? 0)
        this.#at += whole.length
        // A dash at an end is a dash.
        const dash = whole === '-' && (first || this.#p[this.#at] === ']')
        out += dash || '[]^/{}()|$.*+?'.includes(whole) ? `\\${whole}` : whole
      }
    }
  }
}
