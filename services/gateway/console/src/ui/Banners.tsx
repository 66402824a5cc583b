// What is wrong between here and the laboratory, said at once and in words.
import { useRef } from 'preact/hooks'
import { live } from '../live/store'
import { clockTime, duration } from './format'
import { Icon } from './icons'

export function Banners () {
  const link = live.link.value
  return (
    <>
      <div role="alert" aria-live="assertive">
        {link === 'gateway' && <Lost />}
        {link === 'bus' && <BusLost />}
      </div>
      {link === 'connecting' ? <Connecting /> : <ClockNote />}
    </>
  )
}

// Lost says until when the page knew something. The time is kept from when it was first shown, so that it is said once.
function Lost () {
  const at = useRef(clockTime(live.heard.peek()))
  return (
    <p class="banner" data-test="banner-gateway">
      <Icon name="warn" size={20} />
      <span>Connection to the gateway lost: what is shown is from {at.current}. Trying to connect again. The supplies are not affected by this.</span>
    </p>
  )
}

function BusLost () {
  return (
    <p class="banner" data-test="banner-bus">
      <Icon name="warn" size={20} />
      <span>The gateway has lost the bus: nothing has been heard since {clockTime(live.bus.value?.since)}. What is shown is not live; a command arrives late or not at all, so look before you send it again.</span>
    </p>
  )
}

// ClockNote: what the page shows does not depend on this machine's clock, but who compares with a watch must know.
function ClockNote () {
  const wrong = live.wrong.value
  if (wrong === 0) return null
  return <p class="banner wait" data-test="banner-clock" role="status"><Icon name="stale" size={20} /><span>The clock of this computer is {duration(Math.abs(wrong))} {wrong > 0 ? 'ahead of' : 'behind'} the gateway's. Times on this page are the gateway's.</span></p>
}

function Connecting () {
  return <p class="banner wait" data-test="banner-connecting" role="status"><Icon name="wait" size={20} /><span>Connecting to the gateway…</span></p>
}
