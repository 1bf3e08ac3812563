package local

import (
	"crypto/subtle"
	"encoding/base32"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// What every authenticator app knows: HMAC-SHA-1, 6 digits, 30 seconds (RFC 6238
// section 4; SHA-1 is not weak in an HMAC).
const (
	period       = 30 * time.Second
	drift        = 1  // steps to either side, for clocks that are off
	secretLength = 20 // bytes, as many as SHA-1 gives (RFC 4226 section 4, R6)
)

// steps gives the step at a time.
func steps(at time.Time) int64 { return at.Unix() / int64(period/time.Second) }

// checkCode gives the latest step near now at which a secret has a code, 0 if there is
// none. It looks at each of them, whichever fits.
func checkCode(secret []byte, code string, now time.Time) (step int64) {
	code = strings.Join(strings.Fields(code), "")
	for at := steps(now) - drift; at <= steps(now)+drift; at++ {
		want, err := hotp.GenerateCodeCustom(base32Text(secret), uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step = at
		}
	}
	return step
}

// base32Text gives a secret as apps take it.
func base32Text(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// uri gives what an app reads from a QR code.
func uri(host, login string, secret []byte) string {
	label := "Cordon " + host
	q := url.Values{"secret": {base32Text(secret)}, "issuer": {label}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	// Apps take a blank from %20, not from "+".
	return "otpauth://totp/" + url.PathEscape(label+":"+login) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}
