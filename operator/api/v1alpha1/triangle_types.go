package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TriangleSpec is an environment: the three services on one event store. There is
// one in a namespace.
// +kubebuilder:validation:XValidation:rule="!has(self.database.sqlite) || [self.channel.?replicas.orValue(1), self.sales.?replicas.orValue(1), self.marketing.?replicas.orValue(1)].all(n, n == 1)",message="SQLite is a file of one replica: set replicas to 1, or use spec.database.postgres"
// +kubebuilder:validation:XValidation:rule="!has(self.database.sqlite) || ![has(self.channel.autoscaling), has(self.sales.autoscaling), has(self.marketing.autoscaling)].exists(scaled, scaled)",message="SQLite is a file of one replica: leave autoscaling out, or use spec.database.postgres"
// +kubebuilder:validation:XValidation:rule="!has(self.database.postgres) || has(self.keyRing.postgres)",message="replicas on PostgreSQL share their keys: set spec.keyRing.postgres"
type TriangleSpec struct {
	// EventStore is the one thing that the services share.
	// +required
	EventStore EventStore `json:"eventStore"`

	// Database is where each service keeps its read models.
	// +required
	Database Database `json:"database"`

	// KeyRing is where the keys are that seal what is personal: beside the store, and
	// never in it.
	// +kubebuilder:default={}
	// +optional
	KeyRing KeyRing `json:"keyRing,omitzero"`

	// Channel, Sales and Marketing are the services.
	// +required
	Channel Service `json:"channel"`
	// +required
	Sales Service `json:"sales"`
	// +required
	Marketing Service `json:"marketing"`

	// Rollout is how a new image is brought in.
	// +kubebuilder:default={}
	// +optional
	Rollout Rollout `json:"rollout,omitzero"`

	// Pods is what all pods have in common.
	// +optional
	Pods Pods `json:"pods,omitzero"`

	// Telemetry is where traces go. Metrics are read at /metrics of each pod, logs where it
	// writes them.
	// +optional
	Telemetry *Telemetry `json:"telemetry,omitempty"`
}

// EventStore is the embedded store, or one that is there.
// +kubebuilder:validation:XValidation:rule="has(self.embedded) != has(self.connectionSecretRef)",message="write either embedded or connectionSecretRef"
// +kubebuilder:validation:XValidation:rule="has(self.connectionSecretRef) || !has(self.caSecretRef)",message="caSecretRef belongs to connectionSecretRef"
// +kubebuilder:validation:XValidation:rule="has(self.embedded) == has(oldSelf.embedded)",message="an environment keeps its store: make another Triangle, and bring the events there by a backup"
type EventStore struct {
	// Embedded is a store of one machine, for evaluation.
	// +optional
	Embedded *EmbeddedStore `json:"embedded,omitempty"`

	// ConnectionSecretRef is the key of a Secret that holds a connection string,
	// esdb://… or esdb+discover://….
	// +optional
	ConnectionSecretRef *SecretKey `json:"connectionSecretRef,omitempty"`

	// CASecretRef is the key of a Secret with the certificates, in PEM, of who signed
	// the store's.
	// +optional
	CASecretRef *SecretKey `json:"caSecretRef,omitempty"`
}

// EmbeddedStore is the store that Triangle brings along.
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName)",message="the volume of a store can't change its class"
type EmbeddedStore struct {
	// Image is the store's image.
	// +required
	Image Image `json:"image"`
	// Size is that of its volume. The volume stays when the Triangle goes.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the volume of a store can't change its size here: grow the PersistentVolumeClaim itself, where its class allows it"
	// +required
	Size resource.Quantity `json:"size"`
	// StorageClassName is the class of its volume; the default one where there is none.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the volume of a store can't change its class"
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
	// Resources are those of its container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`
}

// Database is a file of each service, or PostgreSQL.
// +kubebuilder:validation:XValidation:rule="has(self.sqlite) != has(self.postgres)",message="write either sqlite or postgres"
// +kubebuilder:validation:XValidation:rule="has(self.sqlite) == has(oldSelf.sqlite)",message="the kind of database can't change: make another Triangle on the same store, which takes everything in again"
type Database struct {
	// SQLite is a file on a volume of each service's own, with one replica.
	// +optional
	SQLite *SQLite `json:"sqlite,omitempty"`
	// Postgres is a server, in which each service has a schema of its own.
	// +optional
	Postgres *Postgres `json:"postgres,omitempty"`
}

// SQLite is a file on a volume.
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName)",message="the volumes can't change their class"
type SQLite struct {
	// Size is that of the volume of each service.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the volumes can't change their size here: grow the PersistentVolumeClaims themselves, where their class allows it"
	// +required
	Size resource.Quantity `json:"size"`
	// StorageClassName is the class of the volumes; the default one where there is none.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the volumes can't change their class"
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// Postgres is a server.
type Postgres struct {
	// URLSecretRef is the key of a Secret that holds postgres://….
	// +required
	URLSecretRef SecretKey `json:"urlSecretRef"`
}

// KeyRing is where keys are kept: in PostgreSQL, or, where the read models are
// SQLite files, in one more on a volume that the three services share. They run on
// one node then.
type KeyRing struct {
	// Postgres is the server that keeps the keys. It had better be another one than
	// that of the read models, with backups of its own: to restore keys is to restore
	// who was erased.
	// +optional
	Postgres *Postgres `json:"postgres,omitempty"`
}

// SecretKey is a key of a Secret in this namespace.
type SecretKey struct {
	// Name is the Secret's.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// Key is the key in it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Key string `json:"key"`
}

// Image is a reference of an image, with a tag or, better, a digest.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="!self.matches('\\\\s')",message="an image's name has no spaces"
// +kubebuilder:validation:XValidation:rule="self.matches('@sha256:[0-9a-f]{64}$') || !self.contains('@') && self.matches(':[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}$')",message="say which image: name it with a tag or a digest"
// +kubebuilder:validation:XValidation:rule="!self.endsWith(':latest')",message="the tag latest is another image tomorrow: name a version or a digest"
type Image string

// Service is one of the three services.
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.autoscaling)",message="write either replicas or autoscaling"
type Service struct {
	// Image is the service's image.
	// +required
	Image Image `json:"image"`
	// Replicas is how many run; 1 when neither this nor autoscaling is set.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Autoscaling lets the cluster choose.
	// +optional
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`
	// Resources are those of the container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`
	// Env is further settings, by the names that the service's --help tells.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Env []Variable `json:"env,omitempty"`
}

// Variable is a setting of a service.
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.secretRef)",message="write either value or secretRef"
// +kubebuilder:validation:XValidation:rule="!(self.name in ['TRIANGLE_EVENTSTORE', 'TRIANGLE_DATABASE', 'TRIANGLE_KEYS', 'TRIANGLE_HTTP_ADDR', 'TRIANGLE_GRPC_ADDR', 'TRIANGLE_IMAGE'])",message="this setting follows from the rest of the spec"
type Variable struct {
	// Name is the variable's.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Z0-9_]*$`
	// +required
	Name string `json:"name"`
	// Value is what it is set to.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Value *string `json:"value,omitempty"`
	// SecretRef is where its value is.
	// +optional
	SecretRef *SecretKey `json:"secretRef,omitempty"`
}

// Autoscaling is between how many replicas the cluster chooses.
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",message="minReplicas is at most maxReplicas"
type Autoscaling struct {
	// MinReplicas and MaxReplicas are the bounds.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +required
	MinReplicas int32 `json:"minReplicas"`
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +required
	MaxReplicas int32 `json:"maxReplicas"`
	// CPUPercent is how busy the replicas are to be, of what they request.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=70
	// +optional
	CPUPercent int32 `json:"cpuPercent,omitempty"`
}

// Rollout is how a new image is brought in: one service at a time.
type Rollout struct {
	// Deadline is within what time a service has to be ready with a new image.
	// +kubebuilder:default="10m"
	// +optional
	Deadline Duration `json:"deadline,omitempty"`
	// Observe is for how long it is watched after that, before the next service
	// follows.
	// +kubebuilder:default="1m"
	// +optional
	Observe Duration `json:"observe,omitempty"`
	// MaxErrorPercent is how many of its calls may fail meanwhile.
	// +kubebuilder:default="1"
	// +optional
	MaxErrorPercent Percent `json:"maxErrorPercent,omitempty"`
	// OnFailure is RollBack to the last good image, where that can read what was
	// written since, or Hold.
	// +kubebuilder:default=RollBack
	// +optional
	OnFailure OnFailure `json:"onFailure,omitempty"`
}

// Pods is what all pods have in common.
type Pods struct {
	// ImagePullPolicy is when images are pulled.
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// ImagePullSecrets are for a registry that wants to know who asks.
	// +listType=map
	// +listMapKey=name
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// CASecretRef is the key of a Secret with further certificates to trust, in PEM.
	// +optional
	CASecretRef *SecretKey `json:"caSecretRef,omitempty"`
	// NodeSelector, Tolerations, Affinity and TopologySpreadConstraints are where they
	// run. Constraints without a selector are about the replicas of one service.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// +listType=atomic
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// +listType=atomic
	// +optional
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	// PriorityClassName is how important they are.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// Labels and Annotations are added to them.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Telemetry is where traces go. Metrics are read at /metrics of each pod, logs where it
// writes them.
type Telemetry struct {
	// Endpoint is an OTLP collector's, http://… or https://….
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[^\s/]+.*$`
	// +required
	Endpoint string `json:"endpoint"`
	// Protocol is how it is spoken to: by gRPC, which is all that the services speak.
	// +kubebuilder:validation:Enum=grpc
	// +kubebuilder:default=grpc
	// +optional
	Protocol string `json:"protocol,omitempty"`
	// TracePercent is of how many calls the trace is kept, unless the caller says.
	// +kubebuilder:default="100"
	// +optional
	TracePercent Percent `json:"tracePercent,omitempty"`
}

// TriangleStatus is how an environment stands, as of its last transition.
type TriangleStatus struct {
	// ObservedGeneration is the generation of the spec that was looked at.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// EnvironmentID is whose the store is.
	// +optional
	EnvironmentID string `json:"environmentID,omitempty"`
	// Services are how the services stand.
	// +listType=map
	// +listMapKey=name
	// +optional
	Services []ServiceStatus `json:"services,omitempty"`
	// Conditions tell how it stands; see the Condition constants.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ServiceStatus is how a service stands.
type ServiceStatus struct {
	// Name is the service's.
	Name string `json:"name"`
	// Image is the one that serves, and GoodImage the last one that was found good.
	// +optional
	Image string `json:"image,omitempty"`
	// +optional
	GoodImage string `json:"goodImage,omitempty"`
	// Failed are the images that were taken back, the latest first; each is left alone
	// until the spec names another one, or somebody has it retried.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Failed []FailedImage `json:"failed,omitempty"`
	// ReadyReplicas is how many serve.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`
}

// FailedImage is an image that was taken back.
type FailedImage struct {
	// Image is the one.
	Image string `json:"image"`
	// At is when, and Reason why.
	At     metav1.Time `json:"at"`
	Reason string      `json:"reason"`
}

// Triangle is an environment.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=triangle-suite
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Triangle struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// +required
	Spec TriangleSpec `json:"spec"`
	// +optional
	Status TriangleStatus `json:"status,omitzero"`
}

// TriangleList is a list of them.
// +kubebuilder:object:root=true
type TriangleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Triangle `json:"items"`
}
