package accounts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	passwordvalidator "github.com/wagslane/go-password-validator"
)

// How long a password may be, in characters.
const (
	MinPassword = 12
	MaxPassword = 128
)

// minEntropy is how hard to guess a password must be, in bits, by what it is
// made of: what stands in every list of passwords has less.
const minEntropy = 45

// minNameInPassword is the length from which a user's name must not be in the
// password: every password contains some single letter.
const minNameInPassword = 3

// CheckPassword reports what is wrong with a new password for a user. Any
// characters will do, and none is needed (NIST SP 800-63B, 3.1.1; OWASP ASVS
// 6.2): length is what helps.
func CheckPassword(name, password string) error {
	length := utf8.RuneCountInString(password)
	plain := strings.ToLower(password)
	switch {
	case !utf8.ValidString(password):
		return errors.New("the password is not text in UTF-8")
	case length < MinPassword:
		return fmt.Errorf("the password has %d characters: choose %d to %d, a few words for instance", length, MinPassword, MaxPassword)
	case length > MaxPassword:
		return fmt.Errorf("the password has %d characters: choose %d to %d", length, MinPassword, MaxPassword)
	case len(name) >= minNameInPassword && strings.Contains(plain, strings.ToLower(name)):
		return errors.New("the password contains the user's name: choose another")
	case strings.Contains(plain, "trackerdcs"):
		return errors.New("the password contains the name of this program: choose another")
	case passwordvalidator.GetEntropy(withoutKnown(plain)) < minEntropy:
		return errors.New("the password is one that is guessed early: choose a longer one, or words that do not belong together")
	}
	return nil
}

// known are words and walks over the keyboard that lists of passwords are made
// of. Such a word adds as much to a password as one character does.
var known = longestFirst(
	"password", "passwort", "passwd", "motdepasse", "contrasena", "senha", "secret", "geheim", "letmein", "welcome", "willkommen", "bienvenue",
	"default", "change", "changeme", "changeit", "temp", "temporary", "test", "testing", "guest", "user", "login", "access", "system", "server",
	"admin", "administrator", "root", "toor", "master", "superuser", "operator", "expert", "viewer", "manager", "service",
	"detector", "tracker", "silicon", "voltage", "highvoltage", "slowcontrol", "control", "laboratory", "cleanroom", "gateway", "grafana", "nodered", "console",
	"cern", "desy", "fermilab", "cms", "atlas", "alice", "lhcb", "lhc", "higgs", "physics", "dcs", "scada",
	"qwertyuiop", "qwerty", "qwertz", "azerty", "asdfghjkl", "asdfgh", "asdf", "zxcvbnm", "zxcvbn", "yxcvbnm", "qazwsxedc", "qazwsx", "qaz", "wsx", "edc", "rfv",
	"1qaz2wsx3edc", "1qaz2wsx", "1qaz", "2wsx", "3edc", "4rfv", "zaq12wsx", "zaq1", "xsw2", "1q2w3e4r5t6y", "1q2w3e4r5t", "1q2w3e4r", "1q2w3e", "q1w2e3r4t5y6", "q1w2e3r4", "q1w2e3",
	"123qwe", "qwe123", "qwe", "asd", "zxc", "abc", "abcd", "abc123", "a1b2c3", "aaa", "xxx",
	"iloveyou", "loveyou", "love", "forever", "princess", "sunshine", "monkey", "dragon", "football", "baseball", "basketball", "superman", "batman",
	"starwars", "pokemon", "michael", "jordan", "shadow", "trustno", "whatever", "freedom", "hello", "hallo", "bonjour", "internet", "computer", "samsung", "google",
	"summer", "winter", "spring", "autumn", "sommer", "herbst", "january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
	"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "unbelievable", "minecraft", "counterstrike", "manchester", "liverpool",
)

func longestFirst(words ...string) *strings.Replacer {
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) }) // the first that fits is taken
	pairs := make([]string, 0, 2*len(words))
	for _, w := range words {
		pairs = append(pairs, w, w[:1])
	}
	return strings.NewReplacer(pairs...)
}

// lookalikes are what stands for letters where a password must not be a word.
var lookalikes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// withoutKnown shortens the known words in a password in small letters, as they
// are and as they look, and what is repeated.
func withoutKnown(password string) string {
	shortest := repeated(known.Replace(password))
	if s := repeated(known.Replace(lookalikes.Replace(password))); utf8.RuneCountInString(s) < utf8.RuneCountInString(shortest) {
		shortest = s
	}
	return shortest
}

// repeated is what a text is a repetition of, or the text.
func repeated(s string) string {
	for n := 1; n <= len(s)/2; n++ {
		if len(s)%n == 0 && strings.Repeat(s[:n], len(s)/n) == s {
			return s[:n]
		}
	}
	return s
}
