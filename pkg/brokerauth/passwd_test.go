package brokerauth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Made by mosquitto_passwd of Debian's Mosquitto 2.0.11.
const debians = "$7$101$87HLlPrImJclhrfC$T5IbGtS80dGe/BzHFNeV3jgaYNrP2w3M4Of2aKG7ZgXjkS3xS+FvcZCrmNQVpBfNnEk0DO4UTEFv/FhPGcTfAg=="

func TestHash(t *testing.T) {
	one, err := Hash("correct horse")
	require.NoError(t, err)
	two, err := Hash("correct horse")
	require.NoError(t, err)
	assert.NotEqual(t, one, two, "a new salt each time")
	assert.Regexp(t, `^\$7\$101\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}==$`, one)
	for _, h := range []string{one, two} {
		assert.True(t, Verify(h, "correct horse"))
		assert.False(t, Verify(h, "correct horsE"))
		assert.False(t, Verify(h, ""))
	}
	assert.True(t, Verify(debians, "correct horse"))
	assert.False(t, Verify(debians, "correct horse "))
	_, err = Hash("")
	assert.ErrorContains(t, err, "it is empty")
}

func TestVerifyOfWhatIsNoHash(t *testing.T) {
	for _, h := range []string{
		"", "correct horse", "$7$101$$", "$6$a$b",
		strings.Replace(debians, "$7$", "$6$", 1),
		strings.Replace(debians, "$101$", "$0$", 1),
		strings.Replace(debians, "$101$", "$-1$", 1),
		strings.Replace(debians, "$101$", "$999999999$", 1),
		strings.Replace(debians, "$101$", "$$", 1),
		debians + "$", debians[:len(debians)-4], "x" + debians,
	} {
		assert.False(t, Verify(h, "correct horse"), h)
	}
}

func TestPasswd(t *testing.T) {
	hv, err := PasswdLine("hv", "one")
	require.NoError(t, err)
	bob, err := PasswdLine("bob", "two")
	require.NoError(t, err)
	hashes, err := ParsePasswd([]byte("# accounts\n" + hv + "\n" + strings.TrimSuffix(bob, "\n")))
	require.NoError(t, err)
	assert.Len(t, hashes, 2)
	assert.True(t, Verify(hashes["hv"], "one"))
	assert.True(t, Verify(hashes["bob"], "two"))
	assert.False(t, Verify(hashes["bob"], "one"))

	for _, name := range []string{"", "a:b", "a\nb", "#a", "a b"} {
		_, err := PasswdLine(name, "x")
		assert.ErrorContains(t, err, "use letters", name)
	}
	_, err = PasswdLine("hv", "")
	assert.ErrorContains(t, err, `broker account "hv": hashing a broker password: it is empty`)

	for text, says := range map[string]string{
		"hv":               "line 1: no colon",
		hv + "bob:plain":   `line 2, account "bob": not a hash of Mosquitto 2: it is not of the form $7$`,
		hv + "\n\n" + hv:   `line 4: account "hv" is there twice`,
		"a:$7$x$!$" + "\n": `line 1, account "a"`,
	} {
		_, err := ParsePasswd([]byte(text))
		assert.ErrorContains(t, err, says)
	}
}
