package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"go.etcd.io/bbolt"
)

// A bbolt file begins with two pages that each name the root of a tree, the one
// with the higher transaction counts. A transaction writes into pages that are
// free, and its root last; what it frees is written over by the transaction
// after the next at the earliest. So a copy during which no transaction ended
// holds the whole tree of the last one, whatever else was written meanwhile.
const (
	boltMagic  = 0xED0CDAED
	boltHeader = 16 // bytes of a page before what it holds
	boltMeta   = 64 // bytes of what the first two pages hold
)

var errBoltMeta = errors.New("its first pages make no sense")

// boltTransaction is the last one that has ended.
func boltTransaction(f *os.File) (id uint64, err error) {
	first := make([]byte, boltHeader+boltMeta)
	if _, err := f.ReadAt(first, 0); err != nil {
		return 0, errBoltMeta
	}
	page := int64(binary.NativeEndian.Uint32(first[boltHeader+8:]))
	if page < 512 || page > 1<<20 {
		return 0, errBoltMeta
	}
	second := make([]byte, boltHeader+boltMeta)
	if _, err := f.ReadAt(second, page); err != nil {
		return 0, errBoltMeta
	}
	found := false
	for _, b := range [][]byte{first[boltHeader:], second[boltHeader:]} {
		sum := fnv.New64a()
		_, _ = sum.Write(b[:56])
		if binary.NativeEndian.Uint32(b) == boltMagic && binary.NativeEndian.Uint64(b[56:]) == sum.Sum64() {
			id, found = max(id, binary.NativeEndian.Uint64(b[48:])), true
		} // else it is being written, or was when the power failed: the other counts
	}
	if !found {
		return 0, errBoltMeta
	}
	return id, nil
}

// copyBolt copies a bbolt file and checks the copy.
func (out *copied) copyBolt(f *os.File, temp string) error {
	before, bad := boltTransaction(f)
	if err := out.copy(f, temp); err != nil {
		return err
	}
	after, err := boltTransaction(f)
	switch {
	case bad != nil || err != nil:
		out.doubt = errBoltMeta.Error()
	case after != before:
		out.doubt = fmt.Sprintf("%d transactions ended meanwhile", after-before)
	default:
		if err := checkBolt(out.Name()); err != nil {
			out.doubt = err.Error()
		}
	}
	return nil
}

// checkBolt opens a copy and looks at all of its pages.
func checkBolt(name string) (err error) {
	defer func() {
		if p := recover(); p != nil { // bbolt's word for a page that makes no sense
			err = fmt.Errorf("%v", p)
		}
	}()
	db, err := bbolt.Open(name, 0, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // of a copy that was only read
	return db.View(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() { // to its end, or it would wait for us for ever
			if first == nil {
				first = err
			}
		}
		return first
	})
}
