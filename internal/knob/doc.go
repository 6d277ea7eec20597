// Package knob knows the settings: of the kernel and of a process, everything that bears on TCP
// connections or is believed to. Each is one value (see Knob); limits, lint, plan, persist, apply
// and explain derive from it what they say and do about a setting. The names of all other sysctls
// are one line of data each (names.txt). It is pure.
package knob
