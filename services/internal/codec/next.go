//go:build triangle_next

package codec

// A newer build has the events of one more package.
import _ "github.com/triangle-suite/triangle/contracts/sales/v2"
