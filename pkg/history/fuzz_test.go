package history

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDecode sends bytes from outside. Whatever is taken for an answer is not
// taken any more when its end is missing.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(chunk1))
	f.Add([]byte(chunk1 + chunk2))
	f.Add([]byte(`{"results":[{"statement_id":0,"error":"x"}]}`))
	f.Add([]byte(`{"results":[{"series":[{"columns":["time","a"],"values":[[1,true],[2.5,null],[-1e9,"\n"]]}]}],"x":{"y":[1]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(b []byte) (rows int, err error) {
			err = decode(bufio.NewReader(bytes.NewReader(b)), func(r Row) error {
				rows++
				require.Len(t, r.Values, len(r.Columns))
				return nil
			})
			return rows, err
		}
		if _, err := read(b); err != nil {
			return
		}
		whole := bytes.TrimRight(b, " \r\n\t")
		_, err := read(whole)
		require.NoError(t, err)
		_, err = read(whole[:len(whole)-1])
		require.Error(t, err)
		_, err = read(append(whole, '{'))
		require.Error(t, err)
	})
}
