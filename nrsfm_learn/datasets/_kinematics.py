"""Forward kinematics of a tree of rigid bones, over all frames at once."""

import numpy as np


def forward_kinematics(parents, offsets, rotations, root):
    r"""Positions of the joints of a skeleton.

    .. math::
        G_0 = L_0, \quad x_0 = \text{root}, \qquad
        G_j = G_{\pi(j)} L_j, \quad x_j = x_{\pi(j)} + G_j v_j

    Parameters
    ----------
    parents : sequence of int
        Parent of each joint; that of the root is -1. Any order.
    offsets : ndarray of shape (n_joints, 3)
        Bone that ends in each joint, in the rest pose; that of the root is not used.
    rotations : ndarray of shape (n_frames, n_joints, 3, 3)
        Rotation of each bone against its parent, in the axes of the rest pose.
    root : ndarray of shape (n_frames, 3)
        Position of the root.

    Returns
    -------
    ndarray of shape (n_frames, n_joints, 3)
    """
    n_frames, n_joints = rotations.shape[:2]
    positions = np.empty((n_frames, n_joints, 3))
    world = np.empty((n_frames, n_joints, 3, 3))
    for j in depth_first(parents):
        p = parents[j]
        if p < 0:
            positions[:, j], world[:, j] = root, rotations[:, j]
        else:
            world[:, j] = world[:, p] @ rotations[:, j]
            positions[:, j] = positions[:, p] + world[:, j] @ offsets[j]
    return positions


def depth_first(parents):
    """Order in which every joint comes after its parent.

    Parameters
    ----------
    parents : sequence of int
        Parent of each joint, -1 for the root.

    Returns
    -------
    list of int
        Joints that are not connected to the root are not in it.
    """
    children = [[] for _ in parents]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(joint)
    order, stack = [], [j for j, p in enumerate(parents) if p < 0]
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack.extend(reversed(children[joint]))
    return order
