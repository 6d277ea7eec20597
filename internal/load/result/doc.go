// Package result is the report of a load run as plain data: what package load
// fills in, and what render and a reader of the JSON need on any system.
package result
