// Runs that are kept, and the form that starts one. What tests take hold of (data-test) is listed in README.md.
import { Now } from './start/UnderWay'
import { RunList } from './start/RunList'
import { StartForm } from './start/StartForm'
import './runs.css'

export default function RunsPage () {
  return (
    <div class="page runs" data-test="runs-page">
      <div class="page-head"><h1 tabIndex={-1}>Calibration runs</h1></div>
      <div class="runs-two">
        <Now />
        <StartForm />
      </div>
      <RunList />
    </div>
  )
}
