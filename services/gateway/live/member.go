package live

import (
	"time"

	"trackerdcs/pkg/bus"
)

// Member is what is needed of a member of the bus; *service.Member and
// *bus.Client are ones.
type Member interface {
	SubscribeAll(filters []string, qos byte, h bus.Handler)
	OnConnect(f func())
	OnLost(f func(error))
	Send(m bus.Message, done func(error))
	Hold(d time.Duration, reason string)
}
