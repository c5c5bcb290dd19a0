// Package segment keeps which customers belong together, by rules that somebody
// writes who does not program:
//
//	orders >= 3 and interests include "jazz" and not consent is withdrawn
//
// A rule is conditions, joined by and, or, not and parentheses. Each condition is an
// attribute, an operator and a value, and each attribute has a type that says which
// operators and values go with it:
//
//	number   =  !=  <  <=  >  >=    3, or 99.50 for an amount of money
//	choice   is, is not             one of a few words
//	set      include, exclude       a text in quotes, and how lately: within 7 days
//
// A rule becomes one query over what every flow has brought. So who belongs to a
// segment is never older than the flows, and counting them takes one pass over the
// tables. That is also why the rules are no general expression language such as
// CEL: its types would do, but it evaluates an expression on one object at a time,
// bounds the cost of that one evaluation, and knows nothing of queries; and its
// parser and its types bring four modules along.
package segment
