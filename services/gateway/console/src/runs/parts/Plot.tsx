// uPlot in a component. It is made anew when its options change and given its data when those alone do.
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { number } from '../data/values'
import { useTheme, type Theme } from './theme'
import { useWidth } from './use'

interface Props {
  // options are without a size; they are asked for anew when something in `on` changes.
  options: (t: Theme) => Omit<uPlot.Options, 'width' | 'height'>
  on: readonly unknown[]
  data: uPlot.AlignedData
  height: number
  label: string // what is to be seen, for who does not see it
  test: string
}

export function Plot ({ options, on, data, height, label, test }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>()
  const plot = useRef<uPlot | null>(null)
  const theme = useTheme()
  useEffect(() => {
    if (!ref.current || width === 0) return
    const made = new uPlot({ ...options(theme), width, height }, data, ref.current)
    plot.current = made
    return () => {
      made.destroy()
      plot.current = null
    }
  }, [theme, width > 0, height, ...on])
  useEffect(() => { plot.current?.setData(data) }, [data])
  useEffect(() => { if (width > 0) plot.current?.setSize({ width, height }) }, [width])
  return <div ref={ref} class="runs-plot" role="img" aria-label={label} data-test={test} />
}

// axis is one of an axis' usual settings.
export function axis (t: Theme, label: string, more: uPlot.Axis = {}): uPlot.Axis {
  return {
    label, labelSize: 22, labelGap: 0, stroke: t.text, labelFont: '12px system-ui, sans-serif', font: '11px system-ui, sans-serif',
    grid: { stroke: t.grid, width: 1 }, ticks: { stroke: t.grid, width: 1, size: 4 },
    // uPlot's own numbers end at three decimals: a current of 1e-7 would be 0.
    values: (_, at) => at.map(v => number(v, 5)), ...more,
  }
}
