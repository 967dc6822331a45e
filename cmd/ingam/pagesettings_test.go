package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestALogoIsAPictureOfALimitedSize(t *testing.T) {
	dir := t.TempDir()
	const svg = `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`
	for name, tc := range map[string]struct{ text, want string }{
		"logo.svg":  {svg, "image/svg+xml"},
		"LOGO.SVG":  {svg, "image/svg+xml"},
		"logo.png":  {"\x89PNG\r\n\x1a\n rest", "image/png"},
		"logo":      {"\xff\xd8\xff rest", "image/jpeg"},
		"logo.gif":  {"GIF89a rest", "image/gif"},
		"logo.webp": {"RIFF....WEBPVP8 rest", "image/webp"},
		"big.png":   {"\x89PNG\r\n\x1a\n" + strings.Repeat("x", maxLogo), ""},
		"page.svg":  {"<html></html>", ""},
		"page.html": {svg, ""},
		"empty.png": {"", ""},
	} {
		path := filepath.Join(dir, name)
		writeFile(t, path, tc.text)
		data, mediaType, err := readLogo(path)
		if mediaType != tc.want && err == nil || (err == nil) != (tc.want != "") || err == nil && string(data) != tc.text {
			t.Errorf("%s: %q, %v", name, mediaType, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := readLogo(filepath.Join(dir, "nowhere.png")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	if data, mediaType, err := readLogo(""); data != nil || mediaType != "" || err != nil {
		t.Errorf("no logo: %q %v", mediaType, err)
	}
}

func TestSessionsAndBrandingReachTheServer(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.svg")
	writeFile(t, logo, "<svg/>")
	c := newConfig()
	if s := c.server(); s.SessionIdleLifetime != day || s.SessionAbsoluteLifetime != 7*day || s.SessionRememberLifetime != 30*day || s.DevMode {
		t.Errorf("defaults: %+v", s)
	}
	c.Session.Idle, c.Session.Absolute, c.Session.Remember = time.Hour, 2*time.Hour, 3*time.Hour
	c.Branding.Name, c.Branding.LogoFile, c.Branding.Accent = "Example", logo, "#0b57d0"
	if s := c.server(); s.SessionIdleLifetime != time.Hour || s.SessionAbsoluteLifetime != 2*time.Hour || s.SessionRememberLifetime != 3*time.Hour {
		t.Errorf("%+v", s)
	}
	b, err := c.branding()
	if err != nil || b.Name != "Example" || string(b.Logo) != "<svg/>" || b.LogoType != "image/svg+xml" || b.Accent != "#0b57d0" {
		t.Errorf("%+v %v", b, err)
	}
	c.Branding.LogoFile = logo + ".gone"
	if _, err := c.branding(); err == nil || exitStatus(err) != exitUsage {
		t.Error(err)
	}
}

func TestOnlyADataFolderOfDevModeShowsDevMode(t *testing.T) {
	c := newConfig()
	c.DataDir = t.TempDir()
	if c.server().DevMode {
		t.Error("an empty folder is taken for dev mode's")
	}
	writeFile(t, filepath.Join(c.DataDir, devMarker), "")
	if !c.server().DevMode {
		t.Error("dev mode does not know itself")
	}
}

func TestAWrongFileOfCertificatesForCallsIsAWrongConfiguration_G5(t *testing.T) {
	c := newConfig()
	c.Issuer = "https://login.example.com"
	if client, err := c.outbound(); err != nil || client == nil {
		t.Fatal(err)
	}
	c.Outbound.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := c.outbound(); err == nil || exitStatus(err) != exitUsage {
		t.Error(err)
	}
	writeCertificate(t, c.Outbound.CAFile, c.Outbound.CAFile+".key")
	if _, err := c.outbound(); err != nil {
		t.Error(err)
	}
}
