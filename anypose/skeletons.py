"""The joint tables: per skeleton every joint in the order of its arrays, written joint<parent; the root has no parent.

What a name means is said in `anypose.skeleton`. A name that differs from the source's own says what the point is:
an ankle is a `foot`, the base of the neck a `thorax`, a "head" on the crown a `head_top`.
"""

TREES = {
    # Human3.6M as released: D3_Positions, 32 joints, some of which coincide (11 with 0; 16 and 24 with 13).
    "h36m_32": """
        hip
        right_hip<hip right_knee<right_hip right_foot<right_knee right_toe<right_foot
        right_toe_end<right_toe
        left_hip<hip left_knee<left_hip left_foot<left_knee left_toe<left_foot
        left_toe_end<left_toe
        spine_base<hip spine<spine_base thorax<spine neck<thorax head<neck
        left_collar<thorax left_shoulder<left_collar left_elbow<left_shoulder left_wrist<left_elbow
        left_thumb<left_wrist
        left_thumb_end<left_thumb left_hand<left_wrist left_hand_end<left_hand
        right_collar<thorax right_shoulder<right_collar right_elbow<right_shoulder right_wrist<right_elbow
        right_thumb<right_wrist
        right_thumb_end<right_thumb right_hand<right_wrist right_hand_end<right_hand
    """,
    # The 17 of every Human3.6M protocol: joints 0-3, 6-8, 12-15, 17-19, 25-27 of the 32.
    "h36m_17": """
        hip right_hip<hip right_knee<right_hip right_foot<right_knee left_hip<hip left_knee<left_hip left_foot<left_knee
        spine<hip thorax<spine neck<thorax head<neck
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
    """,
    # Without neck: the 2D input of 3d-pose-baseline.
    "h36m_16": """
        hip right_hip<hip right_knee<right_hip right_foot<right_knee left_hip<hip left_knee<left_hip left_foot<left_knee
        spine<hip thorax<spine head<thorax
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
    """,
    # Without hip, spine and neck: what 3d-pose-baseline scores with its 14-joint option.
    "h36m_14": """
        right_hip<thorax right_knee<right_hip right_foot<right_knee
        left_hip<thorax left_knee<left_hip left_foot<left_knee
        thorax head<thorax
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
    """,
    # Stacked Hourglass detections of Human3.6M: MPII's points in MPII's order. 3d-pose-baseline called 7, 8 and 9
    # spine, thorax and head, but 7 lies 44 px from Human3.6M's spine.
    "sh_16": """
        right_foot<right_knee right_knee<right_hip right_hip<hip left_hip<hip left_knee<left_hip left_foot<left_knee
        hip shoulders<hip upper_neck<shoulders head_top<upper_neck
        right_wrist<right_elbow right_elbow<right_shoulder right_shoulder<shoulders
        left_shoulder<shoulders left_elbow<left_shoulder left_wrist<left_elbow
    """,
    # The same points in the order of h36m_16: what 3d-pose-baseline and GMH-MDN are given of that detector.
    "sh_h36m_16": """
        hip right_hip<hip right_knee<right_hip right_foot<right_knee left_hip<hip left_knee<left_hip left_foot<left_knee
        shoulders<hip upper_neck<shoulders head_top<upper_neck
        left_shoulder<shoulders left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<shoulders right_elbow<right_shoulder right_wrist<right_elbow
    """,
    # MPII calls the shoulders' middle its thorax.
    "mpii_16": """
        right_foot<right_knee right_knee<right_hip right_hip<hip left_hip<hip left_knee<left_hip left_foot<left_knee
        hip shoulders<hip upper_neck<shoulders head_top<upper_neck
        right_wrist<right_elbow right_elbow<right_shoulder right_shoulder<shoulders
        left_shoulder<shoulders left_elbow<left_shoulder left_wrist<left_elbow
    """,
    # COCO, and with it AIST++. No centre line, so the tree hangs from the nose.
    "coco_17": """
        nose left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye
        left_shoulder<nose right_shoulder<nose left_elbow<left_shoulder right_elbow<right_shoulder
        left_wrist<left_elbow right_wrist<right_elbow
        left_hip<left_shoulder right_hip<right_shoulder left_knee<left_hip right_knee<right_hip
        left_foot<left_knee right_foot<right_knee
    """,
    # OpenPose. It calls the shoulders' middle its neck.
    "body_25": """
        nose<shoulders shoulders<hip
        right_shoulder<shoulders right_elbow<right_shoulder right_wrist<right_elbow
        left_shoulder<shoulders left_elbow<left_shoulder left_wrist<left_elbow
        hip right_hip<hip right_knee<right_hip right_foot<right_knee left_hip<hip left_knee<left_hip left_foot<left_knee
        right_eye<nose left_eye<nose right_ear<right_eye left_ear<left_eye
        left_big_toe<left_foot left_small_toe<left_big_toe left_heel<left_foot
        right_big_toe<right_foot right_small_toe<right_big_toe right_heel<right_foot
    """,
    # OpenPose's COCO model, its first, and what AlphaPose, rtmlib and ControlNet write for it. No middle of the hips.
    "openpose_18": """
        nose<shoulders shoulders
        right_shoulder<shoulders right_elbow<right_shoulder right_wrist<right_elbow
        left_shoulder<shoulders left_elbow<left_shoulder left_wrist<left_elbow
        right_hip<shoulders right_knee<right_hip right_foot<right_knee
        left_hip<shoulders left_knee<left_hip left_foot<left_knee
        right_eye<nose left_eye<nose right_ear<right_eye left_ear<left_eye
    """,
    # OpenPose's MPI model: MPII's points in its own order, and a chest that it was taught half-way from MPII's pelvis
    # to MPII's thorax.
    "openpose_15": """
        head_top<upper_neck upper_neck<spine
        right_shoulder<upper_neck right_elbow<right_shoulder right_wrist<right_elbow
        left_shoulder<upper_neck left_elbow<left_shoulder left_wrist<left_elbow
        right_hip<spine right_knee<right_hip right_foot<right_knee left_hip<spine left_knee<left_hip left_foot<left_knee
        spine
    """,
    # OpenPose's BODY_25B, and the first points of its BODY_135: COCO, then MPII's neck and crown, then feet.
    "body_25b": """
        nose<upper_neck left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye
        left_shoulder<upper_neck right_shoulder<upper_neck left_elbow<left_shoulder right_elbow<right_shoulder
        left_wrist<left_elbow right_wrist<right_elbow
        left_hip<left_shoulder right_hip<right_shoulder left_knee<left_hip right_knee<right_hip
        left_foot<left_knee right_foot<right_knee upper_neck head_top<upper_neck
        left_big_toe<left_foot left_small_toe<left_big_toe left_heel<left_foot
        right_big_toe<right_foot right_small_toe<right_big_toe right_heel<right_foot
    """,
    # Halpe: COCO, then its head (the crown), neck (the base of it), hip and feet.
    "halpe_26": """
        nose<thorax left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye
        left_shoulder<thorax right_shoulder<thorax left_elbow<left_shoulder right_elbow<right_shoulder
        left_wrist<left_elbow right_wrist<right_elbow
        left_hip<hip right_hip<hip left_knee<left_hip right_knee<right_hip left_foot<left_knee right_foot<right_knee
        head_top<thorax thorax<hip hip
        left_big_toe<left_foot right_big_toe<right_foot left_small_toe<left_big_toe right_small_toe<right_big_toe
        left_heel<left_foot right_heel<right_foot
    """,
    # MediaPipe Pose. Its foot index is the big toe's end.
    "blazepose_33": """
        nose left_eye_inner<nose left_eye<left_eye_inner left_eye_outer<left_eye
        right_eye_inner<nose right_eye<right_eye_inner right_eye_outer<right_eye
        left_ear<left_eye_outer right_ear<right_eye_outer left_mouth<nose right_mouth<nose
        left_shoulder<nose right_shoulder<nose left_elbow<left_shoulder right_elbow<right_shoulder
        left_wrist<left_elbow right_wrist<right_elbow left_pinky<left_wrist right_pinky<right_wrist
        left_index<left_wrist right_index<right_wrist left_thumb<left_wrist right_thumb<right_wrist
        left_hip<left_shoulder right_hip<right_shoulder left_knee<left_hip right_knee<right_hip
        left_foot<left_knee right_foot<right_knee left_heel<left_foot right_heel<right_foot
        left_big_toe<left_foot right_big_toe<right_foot
    """,
    # What most 2D networks have in common: limbs, ears, and the two points of the head that Human3.6M's protocol has.
    "common_16": """
        neck head<neck left_ear<head right_ear<head
        left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
        left_hip<left_shoulder left_knee<left_hip left_foot<left_knee
        right_hip<right_shoulder right_knee<right_hip right_foot<right_knee
    """,
    # MPI-INF-3DHP's annot3: spine is the lowest of its five vertebrae, its neck the base of the neck.
    "mpi_inf_3dhp_28": """
        spine3<spine2 spine4<spine3 spine2<spine spine<hip hip thorax<spine4 head<thorax head_top<head
        left_collar<thorax left_shoulder<left_collar left_elbow<left_shoulder left_wrist<left_elbow left_hand<left_wrist
        right_collar<thorax right_shoulder<right_collar right_elbow<right_shoulder right_wrist<right_elbow
        right_hand<right_wrist
        left_hip<hip left_knee<left_hip left_foot<left_knee left_toe<left_foot
        left_toe_end<left_toe
        right_hip<hip right_knee<right_hip right_foot<right_knee right_toe<right_foot
        right_toe_end<right_toe
    """,
    # MPI-INF-3DHP's 17 of the test set: joints 7 5 14 15 16 9 10 11 23 24 25 18 19 20 4 3 6 of the 28.
    "mpi_inf_3dhp_17": """
        head_top<head thorax<spine
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_hip<hip right_knee<right_hip right_foot<right_knee left_hip<hip left_knee<left_hip left_foot<left_knee
        hip spine<hip head<thorax
    """,
    # HumanEva-I as VideoPose3D reduces it.
    "humaneva_15": """
        hip thorax<hip
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
        left_hip<hip left_knee<left_hip left_foot<left_knee right_hip<hip right_knee<right_hip right_foot<right_knee
        head_top<thorax
    """,
    # CMU motion capture, the cgspeed BVH conversion without hands: its neck joint is the base of the neck, its head
    # joint the base of the skull, its thighs the hip joints.
    "cmu_21": """
        hip right_hip<hip right_knee<right_hip right_foot<right_knee left_hip<hip left_knee<left_hip left_foot<left_knee
        abdomen<hip chest<abdomen thorax<chest upper_neck<thorax left_eye<upper_neck right_eye<upper_neck
        left_collar<chest left_shoulder<left_collar left_elbow<left_shoulder left_wrist<left_elbow
        right_collar<chest right_shoulder<right_collar right_elbow<right_shoulder right_wrist<right_elbow
    """,
}

# Rigs: every joint is where a bone begins or ends, and a bone turns all that hangs on it. No network gives them.
RIGS = {
    # The free Anny body's rig with CMU's bone names, and ends for its last bones.
    "anny_38": """
        hip left_pelvis<hip left_hip<left_pelvis left_knee<left_hip left_foot<left_knee left_toe<left_foot
        left_toe_end<left_toe
        right_pelvis<hip right_hip<right_pelvis right_knee<right_hip right_foot<right_knee right_toe<right_foot
        right_toe_end<right_toe
        lower_back<hip spine<lower_back chest<spine thorax<chest middle_neck<thorax upper_neck<middle_neck
        head_top<upper_neck
        left_collar<chest left_shoulder<left_collar left_elbow<left_shoulder left_wrist<left_elbow left_thumb<left_wrist
        left_thumb_end<left_thumb
        left_palm<left_wrist left_fingers<left_palm left_fingers_end<left_fingers
        right_collar<chest right_shoulder<right_collar right_elbow<right_shoulder right_wrist<right_elbow
        right_thumb<right_wrist right_thumb_end<right_thumb
        right_palm<right_wrist right_fingers<right_palm right_fingers_end<right_fingers
    """,
}
