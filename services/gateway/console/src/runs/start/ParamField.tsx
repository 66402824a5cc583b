// One field of the start form.
import { Icon } from '../../ui/icons'
import { initial, wants, type Parameter } from '../data/params'

interface Props { name: string, of: Parameter, text: string, error: string, onText: (t: string) => void, onLeave: () => void }

export function ParamField ({ name, of, text, error, onText, onLeave }: Props) {
  const id = `param-${name}`
  const common = {
    id, name, value: text, onBlur: onLeave, required: of.required === true, 'data-test': id,
    'aria-invalid': error !== '', 'aria-describedby': `${id}-hint ${id}-error`,
  } as const
  const choose = (e: { currentTarget: HTMLSelectElement }) => onText(e.currentTarget.value)
  const type = (e: { currentTarget: HTMLInputElement }) => onText(e.currentTarget.value)
  const none = of.required ? 'choose…' : of.default === undefined ? 'not given' : 'the default'
  let field
  if (of.values) {
    field = (
      <select {...common} onChange={choose}>
        {of.required || of.default === undefined ? <option value="">{none}</option> : null}
        {of.values.map((v, i) => <option key={i} value={String(i)}>{String(v)}</option>)}
      </select>
    )
  } else if (of.type === 'bool') {
    field = (
      <select {...common} onChange={choose}>
        {of.required || of.default === undefined ? <option value="">{none}</option> : null}
        <option value="true">yes</option><option value="false">no</option>
      </select>
    )
  } else {
    // Numbers are typed as text: a field of type number swallows what it does not understand, and nobody learns why.
    const mode = of.type === 'string' ? 'text' : of.type === 'int' && (of.min ?? -1) >= 0 ? 'numeric' : 'decimal'
    field = <input {...common} type="text" inputMode={mode} autoComplete="off" spellcheck={false} placeholder={of.default === undefined ? '' : String(of.default)} onInput={type} />
  }
  return (
    <div class="field">
      <label for={id}>{name}{of.required ? <span class="muted"> (required)</span> : null}</label>
      <span class="runs-input">{field}{of.unit ? <span class="runs-unit" aria-hidden="true">{of.unit}</span> : null}</span>
      <span class="hint" id={`${id}-hint`}>{hint(of, text)}</span>
      <span class="error" id={`${id}-error`} data-test={`${id}-error`}>{error ? <><Icon name="bad" />{error}</> : null}</span>
    </div>
  )
}

function hint (p: Parameter, text: string): string {
  const about = p.title ? `${p.title}. ` : ''
  const rule = p.values || p.type === 'bool' ? '' : `${wants(p)[0]?.toUpperCase() ?? ''}${wants(p).slice(1)}.`
  const changed = p.default !== undefined && text !== initial(p) ? ` Default: ${String(p.default)}.` : ''
  return about + rule + changed
}
