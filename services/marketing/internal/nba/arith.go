package nba

import "math"

// What a decision computes must come out the same on every machine, to the last
// bit. Sums, products, quotients and square roots do, where nothing is fused:
// hence the conversions around each product, which forbid it. The functions of
// package math do not: some machines have them in assembly. So those that a
// decision needs stand here, made of what does.

func times(a, b float64) float64 { return float64(a * b) }

// ln 2 in two parts, the first short enough for its multiples to be exact (Cody
// and Waite, Software Manual for the Elementary Functions, 1980).
const (
	ln2High = 6.93147180369123816490e-01
	ln2Low  = 1.90821492927058770002e-10
)

// taylor are the coefficients of the series of exp, from that of the highest power
// on.
var taylor = [...]float64{
	1.0 / 87178291200, 1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
	1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1, 1,
}

// artanh are the coefficients of the series of artanh, likewise.
var artanh = [...]float64{
	1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3,
}

// polynomial is that with these coefficients, at x (Horner's method).
func polynomial(coefficients []float64, x float64) float64 {
	sum := 0.0
	for _, c := range coefficients {
		sum = c + times(x, sum)
	}
	return sum
}

// exp is e to the x: x is reduced to within half of ln 2, where its Taylor series
// converges fast.
func exp(x float64) float64 {
	if x > 709 {
		return math.Inf(1)
	}
	if x < -745 {
		return 0
	}
	k := math.Floor(times(x, math.Log2E) + 0.5)
	r := (x - times(k, ln2High)) - times(k, ln2Low)
	return math.Ldexp(polynomial(taylor[:], r), int(k))
}

// log is the natural logarithm of x > 0: twice the series of artanh, after x has
// been halved or doubled until it is close to 1.
func log(x float64) float64 {
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction, exponent = times(2, fraction), exponent-1
	}
	f := (fraction - 1) / (fraction + 1)
	square, twice := times(f, f), times(2, f)
	k := float64(exponent)
	return times(k, ln2High) + (twice + (times(twice, times(square, polynomial(artanh[:], square))) + times(k, ln2Low)))
}

// logistic is 1 / (1 + e to the -x).
func logistic(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + exp(-x))
	}
	e := exp(x)
	return e / (1 + e)
}

// logit is the inverse of logistic, for p between 0 and 1.
func logit(p float64) float64 { return log(p / (1 - p)) }

// The coefficients of normal, from those of the highest power on.
var (
	hartAbove = [...]float64{
		3.52624965998911e-02, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871,
		221.213596169931, 220.206867912376,
	}
	hartBelow = [...]float64{
		8.83883476483184e-02, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674,
		637.333633378831, 793.826512519948, 440.413735824752,
	}
)

// normal is the probability that a standard normal variable is at most x (Hart's
// rational approximation 5666, as given by West, Better Approximations to
// Cumulative Normal Functions, Wilmott Magazine, 2005). Beyond 7 it is 0, or 1, to
// eleven places.
func normal(x float64) float64 {
	distance := math.Abs(x)
	tail := 0.0
	if distance < 7 {
		tail = times(exp(-times(0.5, times(x, x))), polynomial(hartAbove[:], distance)/polynomial(hartBelow[:], distance))
	}
	if x > 0 {
		return 1 - tail
	}
	return tail
}
