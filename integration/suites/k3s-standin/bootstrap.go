package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/k3s-io/kine/pkg/client"
	"github.com/k3s-io/kine/pkg/endpoint"
)

// Credentials are what all servers of a cluster share. K3s has more of them, and encrypts them.
type Credentials struct {
	// SigningKey of the service accounts' tokens, as PEM.
	SigningKey string
	AdminToken string
}

// bootstrap takes the credentials from the datastore, or makes them and puts them there. As in K3s
// the server that creates the key, still empty, is the one that may; others wait for it.
func bootstrap(ctx context.Context, options *Options) (*Credentials, error) {
	storage, err := client.New(endpoint.ETCDConfig{Endpoints: []string{options.endpoint}})
	if err != nil {
		return nil, err
	}
	defer storage.Close()
	key := storageKey(options.token)
	for {
		value, err := find(ctx, storage, key)
		if err != nil {
			return nil, err
		}
		if value == nil {
			err := storage.Create(ctx, key, []byte{})
			if err == nil {
				return create(ctx, storage, key)
			}
			if err.Error() != "key exists" {
				return nil, err
			}
		} else if len(value.Data) > 0 {
			credentials := &Credentials{}
			return credentials, json.Unmarshal(value.Data, credentials)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// find lists all keys, so that data under another token is noticed.
func find(ctx context.Context, storage client.Client, key string) (*client.Value, error) {
	values, err := storage.List(ctx, "/bootstrap", 0)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	for _, value := range values {
		if string(value.Key) == key {
			return &value, nil
		}
	}
	return nil, errors.New("bootstrap data already found and encrypted with different token")
}

func create(ctx context.Context, storage client.Client, key string) (*Credentials, error) {
	signing, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(signing)}
	credentials := &Credentials{SigningKey: string(pem.EncodeToMemory(block)), AdminToken: rand.Text()}
	text, err := json.Marshal(credentials)
	if err != nil {
		return nil, err
	}
	lock, err := storage.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if err := storage.Update(ctx, key, lock.Modified, text); err != nil {
		return nil, fmt.Errorf("the lock was taken away: %w", err)
	}
	return credentials, nil
}

func storageKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "/bootstrap/" + hex.EncodeToString(sum[:])[:12]
}
