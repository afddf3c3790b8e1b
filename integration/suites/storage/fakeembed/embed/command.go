package embed

import (
	"errors"
	"os"
	"strings"
)

// Environment variables that hold the command line of the server, its words divided by blanks.
// In each word {dir}, {listen} (HOST:PORT), {url}, {peer-url}, {progress}, {cert}, {key} and {ca}
// stand for what the test wants.
const (
	commandVariable = "STORAGE_SERVER"
	// Words that are added where the test sets a progress interval.
	progressVariable = "STORAGE_SERVER_PROGRESS"
	// Words that are added where the test wants TLS, with clients that show a certificate.
	tlsVariable = "STORAGE_SERVER_TLS"
)

// command is the program and its arguments for this configuration.
func (c *Config) command() ([]string, error) {
	words := strings.Fields(os.Getenv(commandVariable))
	if len(words) == 0 {
		return nil, errors.New(commandVariable + " names no server to start")
	}
	if c.WatchProgressNotifyInterval != 0 {
		words = append(words, strings.Fields(os.Getenv(progressVariable))...)
	}
	if !c.ClientTLSInfo.Empty() {
		words = append(words, strings.Fields(os.Getenv(tlsVariable))...)
	}
	client := c.ListenClientUrls[0]
	replacer := strings.NewReplacer(
		"{dir}", c.Dir,
		"{listen}", client.Host,
		"{url}", client.String(),
		"{peer-url}", c.ListenPeerUrls[0].String(),
		"{progress}", c.WatchProgressNotifyInterval.String(),
		"{cert}", c.ClientTLSInfo.CertFile,
		"{key}", c.ClientTLSInfo.KeyFile,
		"{ca}", c.ClientTLSInfo.TrustedCAFile,
	)
	for i := range words {
		words[i] = replacer.Replace(words[i])
	}
	return words, nil
}
