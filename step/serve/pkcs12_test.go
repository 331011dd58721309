package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

func TestAPKCS12StoreHoldsKeyCertificateAndIssuersUnderOnePasswordForTheWholeRun(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	c := credential("certificate", certificate, "private_key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})), "ca_chain", certificate)
	e := newWorld(t, c).open(pkcs12Field, pkcs12Password)
	for range 2 { // the second is a replacement
		with := c
		with.Fields = append(slices.Clip(with.Fields), e.Fields()...)
		with, err = Made([]string{pkcs12Field}, with)
		if err != nil {
			t.Fatal(err)
		}
		made, _ := with.Field(pkcs12Field)
		got, leaf, issuers, err := pkcs12.DecodeChain([]byte(made.Value), field(t, e, pkcs12Password))
		if err != nil || !made.Secret {
			t.Fatalf("%v, secret %v", err, made.Secret)
		}
		if !key.Equal(got) || leaf.Subject.CommonName != "test" || len(issuers) != 1 {
			t.Errorf("%v with %d issuers", leaf.Subject, len(issuers))
		}
	}
	if _, err := Made([]string{pkcs12Field}, credential("username", "u")); err == nil {
		t.Error("a store is made of a user name")
	}
}
