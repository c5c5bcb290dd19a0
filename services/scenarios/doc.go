// Package scenarios plays the texts in the folder scenarios at the project's root,
// which say in the words of the business what the suite is to do:
//
//	visitor anna comes to website email=anna@example.org
//	----
//	anna is in contact through the website, as a customer with 0 orders
//
// Each text shows a capability, which its header names. It is played on a World:
// real processes, or the services in simulation. It speaks to them by their public
// APIs alone, and makes no difference between the two.
//
// A command either does something, once, or shows something. What it shows is
// looked at again and again until it is what the text expects, as the services come
// to agree only after a while. Ids are told by the name of what they stand for, and
// whatever a text names is its own: two texts on one World don't meet.
package scenarios
