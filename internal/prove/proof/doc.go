// Package proof is the reports of package prove as plain data: proofs of claims,
// the measured recipe, a workload driven twice. It builds on every system.
package proof
