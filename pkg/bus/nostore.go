package bus

import (
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// noStore is paho's memory of what is not yet confirmed. It is for a client
// that connects again; ours live for one connection, so nothing is ever read
// from it: the outbox knows what is to be sent again, and the broker what is to
// be delivered again.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
