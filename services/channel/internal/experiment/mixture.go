package experiment

import "math"

// mixture is the gamma-exponential mixture of Howard, Ramdas, McAuliffe and
// Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals
// of Statistics 49, 2021), proposition 9. Of a sum s of deviations that are 0 on
// average, with intrinsic time v (the sum of their squares), exp(log(s, v)) is at
// most a supermartingale that begins at 1. So, by Ville's inequality, the chance
// that it ever reaches 1/alpha is at most alpha.
type mixture struct {
	scale float64 // how far apart two deviations can be
	rho   float64
}

// newMixture is the mixture whose bound of level alpha is nearly the tightest at
// the intrinsic time v: the tuning of the same paper, section 3.5, for one side.
func newMixture(scale, v, alpha float64) mixture {
	half := 2 * math.Log(1/(2*alpha))
	return mixture{scale: scale, rho: v / (half + math.Log1p(half))}
}

// log is the logarithm of the mixture; s is not below 0.
func (m mixture) log(s, v float64) float64 {
	square := m.scale * m.scale
	prior, shape := m.rho/square, (v+m.rho)/square
	sum := s/m.scale + v/square
	return prior*math.Log(prior) - logGamma(prior) - logLowerGamma(prior, prior) +
		logGamma(shape) + logLowerGamma(shape, sum+prior) - shape*math.Log(sum+prior) + sum
}

// bound is what a sum stays below at all intrinsic times v, but for a chance of
// alpha.
func (m mixture) bound(v, alpha float64) float64 {
	level := -math.Log(alpha)
	low := leastBound(v, alpha)
	high := low + m.scale
	for m.log(high, v) < level {
		low, high = high, 2*high
	}
	for high-low > 1e-12*high {
		middle := low + (high-low)/2
		if middle <= low || middle >= high {
			break
		}
		if m.log(middle, v) < level {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// leastBound is what no bound lies below: the mixture is an average of exponentials
// none of which is above exp(s²/2v).
func leastBound(v, alpha float64) float64 { return math.Sqrt(-2 * v * math.Log(alpha)) }

func logGamma(a float64) float64 {
	l, _ := math.Lgamma(a)
	return l
}

// logLowerGamma is the logarithm of the regularised lower incomplete gamma
// function P(a, x): by its series (NIST Digital Library of Mathematical Functions,
// 8.11.4) where that is quick, else by the continued fraction of its complement
// (8.9.2).
func logLowerGamma(a, x float64) float64 {
	front := a*math.Log(x) - x - logGamma(a)
	if x > a+1 {
		return math.Log1p(-math.Exp(front) * upperFraction(a, x))
	}
	term := 1 / a
	sum := term
	for n := a + 1; term > sum*epsilon; n++ {
		term *= x / n
		sum += term
	}
	return front + math.Log(sum)
}

const epsilon = 0x1p-53

// upperFraction is the continued fraction of the upper incomplete gamma function,
// without what stands before it, by the modified Lentz method.
func upperFraction(a, x float64) float64 {
	const tiny = 1e-300
	b := x + 1 - a
	c, d := 1/tiny, 1/b
	f := d
	for i := 1.0; ; i++ {
		b += 2
		numerator := -i * (i - a)
		d = 1 / nonzero(numerator*d+b, tiny)
		c = nonzero(b+numerator/c, tiny)
		f *= c * d
		if math.Abs(c*d-1) <= 2*epsilon {
			return f
		}
	}
}

func nonzero(x, tiny float64) float64 {
	if math.Abs(x) < tiny {
		return tiny
	}
	return x
}
