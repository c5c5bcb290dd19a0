// Package support puts together what somebody needs who helps from afar: how an
// environment stands, and what was done to it. There is nothing in it of customers:
// control events, metrics and objects of Kubernetes hold nothing personal of them. Those
// who run the environment are told apart, and not named (see Redactor).
package support
