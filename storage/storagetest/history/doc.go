// Package history checks that a storage.Store is linearizable: that what many clients saw, in however many processes,
// can be put into one order in which each operation did what the contract says, at some moment between its call and its
// return.
//
//	history.Linear(t, history.Setup{Name: "memory", Open: open}, history.Plan{Seed: 1, Mode: history.Mixed, Grace: 10 * time.Second})
//	history.Race(t, history.Setup{Name: "memory", Open: open})
//
// A [Plan] says what the clients do, [Worker] does it and writes down an [Event] for each call, and [Check] judges the
// events: by porcupine against the model in model.go, and by plain counting (INV1, INV2, INV3, INV5 and INV6).
//
// # Families
//
// The model looks at one family at a time: a grant and its user, who has no other grant in these runs. So the state of
// the user can be part of the state of the family, and a store that is right family by family is right.
//
// # Unknown outcomes
//
// A call that failed (storage.IsFailure) may have its effect at any time after the call, or never. Its operation would
// last for ever, and a search that may put it anywhere takes exponential time. The model says the same in another way: such
// a call is an operation of no length that arms the effect, and every later step may find that it has happened.
//
// # Windows
//
// A family is in use for a short time against a grace window of 10 s, and the check insists on that. So the window of the
// last rotation is always open, or, with a window of 0, never; the model needs no clock.
//
// # Processes
//
// A store that several processes share is checked from several: see [Main] and [Setup].
package history
