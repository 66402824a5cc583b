// What became of the last command of its kind.
import type { Sent } from '../live/commands'
import { settled } from '../live/commands'
import { Chip, phaseTone } from '../ui/Chip'
import { clockTime } from '../ui/format'

const words: Record<string, string> = { sending: 'sending', sent: 'sent', accepted: 'under way', done: 'done', rejected: 'refused', refused: 'refused', failed: 'failed', superseded: 'superseded', unanswered: 'no answer' }

interface ResultProps { sent: Sent, use?: (v: number) => void, closest?: string }

export function Result ({ sent, use, closest }: ResultProps) {
  const bad = ['rejected', 'failed', 'refused', 'unanswered'].includes(sent.phase)
  const what = sent.command.op === 'switch' ? `switch ${String(sent.command.value)}` : sent.command.value === undefined ? sent.command.op : String(sent.command.value)
  const value = sent.closest
  return (
    <div class="result" role={bad ? 'alert' : undefined} data-test={`result-${sent.command.op}`} data-phase={sent.phase}>
      <div class={bad ? 'note bad' : 'result-line'}>
        <p>
          <Chip tone={phaseTone(sent.phase === 'refused' ? 'rejected' : sent.phase)} icon={settled(sent) ? undefined : 'wait'}>{what}: {words[sent.phase] ?? sent.phase}</Chip>{' '}
          <span class="small num">{clockTime(sent.ended ?? sent.at)}{sent.code && sent.code !== 'OK' && ` · ${sent.code}`}</span>
        </p>
        {sent.message && <p class="small" data-test="result-message">{sent.message}</p>}
        {bad && value !== null && (
          <p class="row small" data-test="closest">The closest valid value is {closest}.
            {use && <button type="button" class="btn small" data-test="use-closest" onClick={() => use(value)}>Use {closest}</button>}
          </p>
        )}
      </div>
    </div>
  )
}
