export interface PlotWhat { device: string, sensor: boolean, period: number, fields: Array<{ name: string, unit: string }>, channels: Array<{ number: number, label: string }>, chosen: string[] }
export function PlotPanel (_: PlotWhat) { return null }
