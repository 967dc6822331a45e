// Package memory is a store for tests: everything is gone when the process ends.
//
// It keeps the bytes of records and never a live pointer, so that it can hide neither a mistake in the JSON form of a
// record nor a caller who changes what it was given. All of it sits behind one mutex: each verb is one critical
// section, which makes this store the plainest reading of the contract in package storage.
//
//	store := memory.New()
//	defer store.Close()
//
// For anything that must survive, use storage/bolt.
package memory
