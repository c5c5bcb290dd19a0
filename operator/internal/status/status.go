// Package status writes the status of objects.
package status

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patch writes what differs between the status of an object and the one before, under
// the resourceVersion that was read: whoever has looked at something out of date, or
// leads no more, is refused with a conflict. An object that has gone meanwhile needs
// none.
func Patch(ctx context.Context, c client.StatusClient, object, before client.Object) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, object, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("tell the status of %s: %w", client.ObjectKeyFromObject(object), err)
	}
	return nil
}
