// A device card's head: its name, what it is, its state, how old its values are.
import { live } from '../live/store'
import { Link } from '../router'
import { StateChip } from '../ui/Chip'
import { FreshChip } from '../ui/FreshChip'

export function DeviceHead ({ name, fresh = true }: { name: string, fresh?: boolean }) {
  const d = live.device(name).value
  return (
    <>
      <div class="card-head">
        <h3><Link to={`/device/${encodeURIComponent(name)}`} data-test={`open-${name}`}>{name}</Link> <span class="muted small model">{d?.meta?.model}</span></h3>
        <StateChip state={d?.state?.state} error={d?.state?.error} />
        {fresh && <FreshChip device={name} />}
      </div>
      {d?.state?.error && <p class="note warn small">{d.state.error}</p>}
    </>
  )
}
